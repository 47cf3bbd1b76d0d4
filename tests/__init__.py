"""The tests of lrbench. It is a package of its own, for some packages that are installed beside it bring one of this name."""
