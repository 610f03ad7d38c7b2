"""As walk.c."""
import os
import sys

names = bytes_read = 0
for _ in range(int(sys.argv[2])):
    for directory, _, files in os.walk(sys.argv[1]):
        names += 1 + len(files)
        for name in files:
            with open(os.path.join(directory, name), "rb") as f:
                bytes_read += len(f.read())
print(f"{names} names, {bytes_read} bytes")
