#!/bin/sh
# Prints the path of the newest Python that works and that likelihax supports, or fails and says so.
# Looks at the interpreters given as arguments; at all it can find here if there are none.
#
# "Works" is found out by running it: a version manager's `python3.13` may be a stub that only
# prints an error, and a system's python3 may come without the modules that make a venv.

probe='
import sys
if not (3, 11) <= sys.version_info < (3, 15) or sys.version_info.releaselevel != "final":
    raise SystemExit(1)
import ctypes, ensurepip, os, ssl, venv
print("%d.%d.%d" % sys.version_info[:3], os.path.realpath(sys.executable))
'

candidates() {
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@"
        return
    fi
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$name"
    done
    if command -v pyenv >/dev/null; then
        ls -d "$(pyenv root)"/versions/*/bin/python3 2>/dev/null
    fi
}

candidates "$@" | while read -r python; do
    "$python" -c "$probe" </dev/null 2>/dev/null
done | sort -s -t . -k 2,2nr -k 3,3nr | sed -n '1s/^[^ ]* //p' | grep . || {
    echo "No working Python from 3.11 to 3.14 (with venv and pip) among: ${*:-those on PATH}." >&2
    echo "Name one: make PYTHON=/path/to/python3 ..." >&2
    exit 1
}
