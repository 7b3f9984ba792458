import subprocess
import sys


def test_only_the_thread_that_is_told_to_computes_in_parallel() -> None:
    # in a process of its own: the number of threads is the process's
    program = """
import threading, torch
from service.threads import compute_alone, compute_with
said = []
def within(*steps):
    def run():
        for step in steps: step()
        said.append(torch.get_num_threads())
    thread = threading.Thread(target=run); thread.start(); thread.join()
within(compute_alone)
within(lambda: compute_with(0))
within(lambda: compute_with(3))
print(said)
"""
    environment = {"OMP_NUM_THREADS": "2", "PATH": ""}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "[1, 2, 3]\n"
