"""What config/EXAMPLES.md needs of paho-mqtt: a broker that sends one command."""

import enum
import threading
import types


class CallbackAPIVersion(enum.Enum):
    VERSION2 = 2


class Client:
    def __init__(self, version, client_id, clean_session):
        assert version is CallbackAPIVersion.VERSION2 and client_id and not clean_session

    def connect(self, _host):
        pass

    def subscribe(self, _topic, qos):
        assert qos == 1

    def loop_start(self):
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def loop(self):
        self.on_connect(self, None, None, 0, None)
        self.on_subscribe(self, None, 1, [1], None)
        self.on_message(self, None, types.SimpleNamespace(payload=b"command"))

    def disconnect(self):
        print("disconnected", flush=True)

    def loop_stop(self):
        self.thread.join()
