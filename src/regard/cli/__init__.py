"""The command line: parse, call, print. Every heavy import waits until its command runs."""
