"""What config/EXAMPLES.md needs of Redis: a list with jobs, without a server."""

import atexit
import time


class Redis:
    def __init__(self, host):
        self.count, self.working = 0, []
        atexit.register(lambda: print("%s in hand" % (self.working or "nothing is"), flush=True))

    def ping(self):
        return True

    def blmove(self, _source, _destination, timeout):
        time.sleep(0.05)
        self.count += 1
        self.working.append(b"job %d" % self.count)
        return self.working[-1]

    def lrem(self, _name, _count, job):
        self.working.remove(job)
