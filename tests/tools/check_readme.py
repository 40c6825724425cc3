#!/usr/bin/env python3
"""Fails where the README's quickstart is not examples/quickstart.cpp, byte for byte.

  check_readme.py SOURCE
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
code = (source / "examples" / "quickstart.cpp").read_text()
blocks = re.findall(r"^```cpp\n(.*?)^```$", (source / "README.md").read_text(), re.M | re.S)
if code not in blocks:
    sys.exit("README.md: no code block equals examples/quickstart.cpp")
if code.count("\n") >= 60:
    sys.exit("examples/quickstart.cpp: a quickstart is under 60 lines")
