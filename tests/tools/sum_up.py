#!/usr/bin/env python3
"""Adds up Meson's test logs: prints how many passed, failed and were skipped.

  sum_up.py FAILED_ALREADY LOG...
"""
import json
import sys

passed, failed, skipped = 0, int(sys.argv[1]), 0
for path in sys.argv[2:]:
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            result = json.loads(line)["result"]
            if result in ("OK", "EXPECTEDFAIL"):
                passed += 1
            elif result == "SKIP":
                skipped += 1
            else:
                failed += 1
print(passed, failed, skipped)
