"""Files that grow: followed through rotations, read between looks."""
