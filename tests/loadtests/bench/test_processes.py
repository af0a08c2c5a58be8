import os
import socket
import subprocess
import sys

from loadtests.bench import processes

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


def test_a_tree_is_the_program_and_what_it_started():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE) as process:
        while len(pids := processes.tree(process.pid)) < 2:
            pass
        assert pids[0] == process.pid
        assert processes.pss_bytes(pids) > processes.pss_bytes(pids[:1]) > 2**20
        assert process.stdin
        process.stdin.write(b"\n")
    assert processes.pss_bytes(pids) == 0


def test_cpu_time_grows():
    own = [os.getpid()]
    before = processes.cpu_seconds(own)
    while processes.cpu_seconds(own) <= before:
        sum(range(10_000))


def test_connections_are_counted_where_they_are_accepted():
    own = os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            accepted = [listener.accept()[0] for _ in range(2)]
            assert processes.connections([own], port) == {own: 2}
            for connection in accepted:
                connection.close()


def test_a_worker_without_connections_counts():
    assert processes.split({7: 3, 8: 29}, 3) == [29, 3, 0]
