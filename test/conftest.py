"""Shared by all pytest suites: where the tree and its programs are, and helpers in test/lib."""
import os
import sys

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIB = os.path.join(TREE, "test", "lib")
if LIB not in sys.path:
    sys.path.insert(0, LIB)
