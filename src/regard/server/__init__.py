"""The web page: a folder of runs looked through in a browser, and the API that it stands on."""
