"""A TCP proxy whose connections can be cut, refused or stalled."""
import socket
import threading
import time


class TcpProxy:
    def __init__(self, port, cut_every=0.0):
        self.to, self.cut_every = ("127.0.0.1", port), cut_every
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs, self.lock, self.is_stalled, self.cuts, self.is_open = [], threading.Lock(), False, 0, True
        threading.Thread(target=self._accept, daemon=True).start()
        if cut_every:
            threading.Thread(target=self._cutter, daemon=True).start()

    def _accept(self):
        while self.is_open:
            try:
                a, _ = self.listener.accept()
                b = socket.create_connection(self.to, timeout=5)
                b.settimeout(None)
            except OSError:
                continue
            with self.lock:
                self.pairs.append((a, b))
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self._pump, args=(x, y), daemon=True).start()

    def _pump(self, a, b):
        try:
            while data := a.recv(65536):
                while self.is_stalled and self.is_open:
                    time.sleep(0.05)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _cutter(self):
        while self.is_open:
            time.sleep(self.cut_every)
            self.cut()

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                    s.close()
                except OSError:
                    pass
        self.cuts += 1

    def close(self):
        self.is_open = False
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the accept() that waits
        self.listener.close()
        self.cut()
