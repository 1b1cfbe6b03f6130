"""A supervisor without a mind of its own: passes packets between PID 1 (descriptor 3) and the test that listens on the socket argv[1]."""
import array
import os
import select
import socket
import sys

pid1 = socket.socket(fileno=3)
test = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
test.connect(sys.argv[1])
test.send(f"pid {os.getpid()}".encode())
while True:
    for s in select.select([pid1, test], [], [])[0]:
        data, control, _, _ = s.recvmsg(16384, socket.CMSG_SPACE(4 * 128))
        if not data:
            sys.exit(0)
        fds = array.array("i")
        for level, kind, raw in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(raw[:len(raw) - len(raw) % 4])
        other = test if s is pid1 else pid1
        other.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
        for fd in fds:
            os.close(fd)
