"""The verbs of the command line, and what they print. `counterpoint.cli` is the way in."""
