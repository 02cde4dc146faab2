"""Runs a command on a terminal of its own, prints what the terminal receives, and exits as the command does.

Arguments: the number of columns, a text at which Ctrl-C is pressed (empty: never), the command.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, interrupt_at, command = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execvp(command[0], command)
received = b""
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:  # Linux says so when the command has ended.
        break
    if not some:
        break
    received += some
    sys.stdout.buffer.write(some)
    if interrupt_at and interrupt_at in received:
        interrupt_at = b""
        os.write(terminal, b"\x03")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
