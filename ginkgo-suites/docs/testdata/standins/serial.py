"""What config/EXAMPLES.md needs of pyserial: a meter that answers 42."""

import time


class Serial:
    def __init__(self, port, baudrate, timeout, exclusive):
        self.asked = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print("closed", "in the middle" if self.asked else "between two telegrams", flush=True)

    def reset_input_buffer(self):
        pass

    def write(self, _data):
        self.asked = True

    def read_until(self, _end):
        time.sleep(0.05)
        self.asked = False
        return b"42\r\n"
