"""What the verbs of the command line share: parsing, and what they print. `counterpoint.cli` is the way in."""
