"""The tests, and what `make` runs of them as modules.

A package of this name that another installs (skelo, by way of iohinspector, does) would come before a folder without this file.
"""
