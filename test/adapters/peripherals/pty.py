"""A serial line whose other end sends back what it hears. Prints the path of it; ends with its standard input."""

import os
import select
import sys
import tty

other, line = os.openpty()
tty.setraw(line)
print(os.ttyname(line), flush=True)
while True:
    ready, _, _ = select.select([other, sys.stdin], [], [])
    if sys.stdin in ready and not os.read(0, 100):
        break
    if other in ready:
        os.write(other, os.read(other, 4096))
