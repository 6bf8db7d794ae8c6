"""Synthetic herbarium sheets: plants with or without thorns, and a stamp that tells too much.

`regard.synthetic.sheets.write_sheets` writes a whole set; `composing.draw_sheet` draws one.
"""
