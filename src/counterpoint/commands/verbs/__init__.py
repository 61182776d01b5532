"""One file per verb: it parses the words and calls. The work stands beside this folder, and is imported after that."""
