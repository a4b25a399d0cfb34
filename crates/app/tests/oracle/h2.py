"""Speaks HTTP/2 (and the upgrade to it) frame by frame: rightly, oddly or wrongly, as the path says.

h2.py PORT [CERTIFICATE KEY]: with a certificate over TLS, ALPN h2 alone.
"""
import gzip, socket, ssl, struct, sys, threading, time
import hpack

DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = 0, 1, 3, 4, 5, 6, 7, 8, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Over(Exception):
    pass


class Connection:
    def __init__(self, sock):
        self.sock, self.got = sock, b""
        self.decoder, self.encoder = hpack.Decoder(), hpack.Encoder()
        self.window, self.first, self.windows = 65535, 65535, {}
        self.bodies, self.asked, self.ended, self.waits = {}, {}, set(), {}
        self.acks = 0

    def read(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise Over
        self.got += piece

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def head(self, stream, fields, end=False, more=b""):
        block = self.encoder.encode(fields)
        return frame(HEADERS, 4 | (1 if end else 0), stream, block) + more

    def next(self):
        while len(self.got) < 9 or len(self.got) < 9 + int.from_bytes(self.got[:3], "big"):
            self.read()
        n = int.from_bytes(self.got[:3], "big")
        kind, flags = self.got[3], self.got[4]
        stream = int.from_bytes(self.got[5:9], "big") & 0x7FFFFFFF
        payload, self.got = self.got[9 : 9 + n], self.got[9 + n :]
        if kind == SETTINGS and not flags & 1:
            for i in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[i : i + 6])
                if key == 4:
                    for s in self.windows:
                        self.windows[s] += value - self.first
                    self.first = value
            self.send(frame(SETTINGS, 1, 0))
        elif kind == PING and not flags & 1:
            self.send(frame(PING, 1, 0, payload))
        elif kind == PING:
            self.acks += 1
        elif kind == WINDOW:
            by = int.from_bytes(payload, "big")
            if stream:
                self.windows[stream] = self.windows.get(stream, self.first) + by
            else:
                self.window += by
        elif kind == GOAWAY:
            raise Over
        return kind, flags, stream, payload

    def step(self):
        """Takes one frame; gives the stream whose request is whole now, or 0."""
        kind, flags, stream, payload = self.next()
        if kind == HEADERS:
            if flags & 0x20:
                payload = payload[5:]
            if not flags & 4:
                while True:
                    more = self.next()
                    payload += more[3]
                    if more[1] & 4:
                        break
            self.asked[stream] = self.decoder.decode(payload)
            self.bodies[stream] = b""
            self.windows.setdefault(stream, self.first)
            path = dict(self.asked[stream])[":path"]
            if early(self, stream, path):
                self.asked.pop(stream)
                return 0
            if flags & 1:
                return stream
        elif kind == DATA and stream in self.asked:
            self.bodies[stream] += payload
            if payload:
                give = struct.pack(">I", len(payload))
                self.send(frame(WINDOW, 0, 0, give), frame(WINDOW, 0, stream, give))
            if flags & 1:
                return stream
        elif kind == RST:
            self.asked.pop(stream, None)
        return 0

    def body(self, stream, content, end=True, piece=16384):
        at = 0
        while at < len(content):
            room = min(self.window, self.windows.get(stream, self.first), piece, len(content) - at)
            if room <= 0:
                self.step()
                continue
            part = content[at : at + room]
            at += room
            self.window -= room
            self.windows[stream] = self.windows.get(stream, self.first) - room
            self.send(frame(DATA, 1 if end and at == len(content) else 0, stream, part))
        if end and not content:
            self.send(frame(DATA, 1, stream))

    def whole(self, stream, content, fields=(), status="200", method="GET"):
        fields = [(":status", status), ("server", "h2.py"), *fields]
        length = [("content-length", str(len(content)))]
        self.send(self.head(stream, fields + length, end=method == "HEAD" or not content))
        if method != "HEAD" and content:
            self.body(stream, content)

    def run(self, upgraded=None):
        self.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 128)))
        if upgraded:
            self.asked[1], self.bodies[1] = upgraded, b""
            self.windows[1] = self.first
        while len(self.got) < len(PREFACE):
            self.read()
        if not self.got.startswith(PREFACE):
            raise Over
        self.got = self.got[len(PREFACE) :]
        if upgraded:
            answer(self, 1)
        while True:
            stream = self.step()
            if stream:
                answer(self, stream)


def early(c, stream, path):
    """What is said before the request's body came."""
    fields = dict(c.asked[stream])
    if path == "/100" or fields.get("expect"):
        c.send(c.head(stream, [(":status", "100")]))
    if path == "/refuse":
        # The body is under way by then: the original calls an answer that comes before it a stream that was not closed cleanly.
        time.sleep(0.2)
        c.send(c.head(stream, [(":status", "413"), ("server", "h2.py")], end=True), frame(RST, 0, stream, b"\0\0\0\0"))
        return True
    return False


def answer(c, stream):
    fields = c.asked.pop(stream)
    body = c.bodies.pop(stream)
    asked = dict(fields)
    path, method = asked[":path"], asked[":method"]
    words = path.split("?")[0].strip("/").split("/")
    word, n = words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    code = struct.pack(">I", n)
    ok = [(":status", "200"), ("server", "h2.py")]
    text = lambda f: "".join(f"{k}: {v}\n" for k, v in f)
    if word in ("echo", "100"):
        c.whole(stream, text(fields).encode() + body, [("content-type", "text/plain")], method=method)
    elif word == "count":
        c.whole(stream, f"{len(body)} {sum(body) % 65521}\n".encode())
    elif word == "stream":
        c.whole(stream, f"stream {stream}\n".encode())
    elif word == "missing":
        c.whole(stream, b"missing\n", status="404")
    elif word == "redirect":
        c.whole(stream, b"", [("location", "/echo")], status="302")
    elif word == "cookie":
        c.whole(stream, b"set\n", [("set-cookie", "a=b; path=/"), ("set-cookie", "c=d")])
    elif word == "basic":
        if "authorization" in asked:
            c.whole(stream, b"in\n")
        else:
            c.whole(stream, b"who?\n", [("www-authenticate", 'Digest realm="r", nonce="n"')], status="401")
    elif word == "gzip":
        c.whole(stream, gzip.compress(b"packed content\n", mtime=0), [("content-encoding", "gzip")])
    elif word == "none":
        c.send(c.head(stream, [(":status", "204"), ("server", "h2.py")], end=True))
    elif word == "trailers":
        c.send(c.head(stream, ok))
        c.body(stream, b"content\n", end=False)
        c.send(c.head(stream, [("x-trailer", "t"), ("x-other", "o")], end=True))
    elif word == "nolength":
        c.send(c.head(stream, ok))
        c.body(stream, b"to the end\n")
    elif word == "hints":
        c.send(c.head(stream, [(":status", "103"), ("link", "</a>")]))
        c.whole(stream, b"hinted\n")
    elif word == "big":
        c.whole(stream, bytes(range(256)) * (n * 4))
    elif word == "padded":
        c.send(c.head(stream, ok), frame(DATA, 8 | 1, stream, b"\x0a" + b"padded\n" + bytes(10)))
    elif word == "rst":
        c.send(frame(RST, 0, stream, code))
    elif word == "rsthead":
        c.send(c.head(stream, ok), frame(RST, 0, stream, code))
    elif word == "rstbody":
        c.send(c.head(stream, ok), frame(DATA, 0, stream, b"part\n"), frame(RST, 0, stream, code))
    elif word == "rstlength":
        c.send(c.head(stream, ok + [("content-length", "10")]), frame(DATA, 0, stream, b"part\n"), frame(RST, 0, stream, code))
    elif word == "goaway":
        c.send(frame(GOAWAY, 0, 0, b"\0\0\0\0" + code + b"why"))
        raise Over
    elif word == "goawaystay":
        c.send(frame(GOAWAY, 0, 0, b"\0\0\0\0" + code + b"why"))
    elif word == "goawaylast":
        c.send(frame(GOAWAY, 0, 0, struct.pack(">I", stream) + code))
        c.whole(stream, b"the last\n")
    elif word == "close":
        raise Over
    elif word == "closehead":
        c.send(c.head(stream, ok))
        raise Over
    elif word == "closebody":
        c.send(c.head(stream, ok + [("content-length", "10")]), frame(DATA, 0, stream, b"part\n"))
        raise Over
    elif word == "short":
        c.send(c.head(stream, ok + [("content-length", "10")]), frame(DATA, 1, stream, b"part\n"))
    elif word == "long":
        c.send(c.head(stream, ok + [("content-length", "2")]), frame(DATA, 1, stream, b"part\n"))
    elif word == "ping":
        had = c.acks
        c.send(frame(PING, 0, 0, b"12345678"))
        while c.acks == had:
            c.step()
        c.whole(stream, b"pong\n")
    elif word == "push":
        c.send(frame(PUSH, 4, stream, b"\0\0\0\2" + c.encoder.encode([(":method", "GET"), (":path", "/x"), (":scheme", "http"), (":authority", "x")])))
        c.whole(stream, b"pushed\n")
    elif word == "upper":
        c.send(frame(HEADERS, 4, stream, b"\x88\x00\x03X-Y\x01z"))
    elif word == "connection":
        c.send(c.head(stream, ok + [("connection", "close")], end=True))
    elif word == "nostatus":
        c.send(c.head(stream, [("server", "h2.py")], end=True))
    elif word == "badstatus":
        c.send(c.head(stream, [(":status", "abc")], end=True))
    elif word == "badhpack":
        c.send(frame(HEADERS, 5, stream, b"\xff\xff\xff\xff\xff\xff\xff"))
    elif word == "huge":
        c.send(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
    elif word == "oddwindow":
        c.send(frame(WINDOW, 0, 0, b"\0\0\0"))
    elif word == "zerowindow":
        c.send(frame(WINDOW, 0, 0, b"\0\0\0\0"))
    elif word == "overflow":
        c.send(frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"))
    elif word == "streamoverflow":
        c.send(frame(WINDOW, 0, stream, b"\x7f\xff\xff\xff"))
    elif word == "unknown":
        c.send(frame(0x42, 0, 0, b"what"), frame(0x42, 0, stream, b"is this"))
        c.whole(stream, b"known\n")
    elif word == "datafirst":
        c.send(frame(DATA, 1, stream, b"no head\n"))
    elif word == "datazero":
        c.send(frame(DATA, 1, 0, b"no stream\n"))
    elif word == "idle":
        c.send(frame(HEADERS, 5, 77, c.encoder.encode(ok)))
    elif word == "after":
        c.send(c.head(stream, ok + [("content-length", "3")]), frame(DATA, 1, stream, b"ok\n"), frame(DATA, 0, stream, b"after\n"))
    elif word == "lonecont":
        c.send(frame(CONT, 4, stream, b"\x88"))
    elif word == "cutcont":
        c.send(frame(HEADERS, 0, stream, b"\x88"), frame(DATA, 0, stream, b"x"))
    elif word == "cont":
        block = c.encoder.encode(ok + [("x-long", "l" * 100)])
        pieces = [block[i : i + 10] for i in range(0, len(block), 10)]
        c.send(frame(HEADERS, 0, stream, pieces[0]))
        for i, piece in enumerate(pieces[1:]):
            c.send(frame(CONT, 4 if i == len(pieces) - 2 else 0, stream, piece))
        c.body(stream, b"in pieces\n")
    elif word in ("latehuge", "laterst", "lategoaway", "lateclose"):
        c.send(c.head(stream, ok), frame(DATA, 0, stream, b"part\n"))
        time.sleep(0.2)
        c.send({"latehuge": b"\xff" * 9, "laterst": frame(RST, 0, stream, code), "lategoaway": frame(GOAWAY, 0, 0, b"\0\0\0\0" + code), "lateclose": b""}[word])
        if word == "lateclose":
            raise Over
    elif word == "garbage":
        c.send(b"HTTP/1.1 400 Bad\r\n\r\n")
    elif word == "silent":
        while True:
            c.step()
    elif word == "bighead":
        c.send(c.head(stream, ok + [(f"x-{i}", "y" * 1000) for i in range(n)]))
        c.body(stream, b"big head\n")
    elif word == "contflood":
        c.send(frame(HEADERS, 0, stream, b"\x88"))
        while True:
            c.send(frame(CONT, 0, stream, b"\x00\x01a" + b"\x7f\x81\x7e" + b"b" * 16255) * 8)
    elif word == "emptycont":
        c.send(frame(HEADERS, 0, stream, b"\x88"))
        while True:
            c.send(frame(CONT, 0, stream, b"") * 1000)
    elif word == "hpackbomb":
        # One entry of 4,000 bytes, named by one byte each.
        c.send(frame(HEADERS, 4, stream, b"\x88\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 12000))
    elif word == "pingflood":
        while True:
            c.send(frame(PING, 0, 0, b"12345678") * 1000)
    elif word == "settingsflood":
        while True:
            c.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 128)) * 1000)
    elif word == "emptyflood":
        c.send(c.head(stream, ok))
        while True:
            c.send(frame(DATA, 0, stream) * 1000)
    elif word == "hintflood":
        while True:
            c.send(c.head(stream, [(":status", "103"), ("x", "y")]) * 100)
    elif word == "windowflood":
        while True:
            c.send(frame(WINDOW, 0, stream, b"\0\0\0\1") * 1000)
    elif word == "rude":
        # Takes no notice of any window.
        c.send(c.head(stream, ok))
        while True:
            c.send(frame(DATA, 0, stream, bytes(16384)) * 16)
    elif word == "bomb":
        c.send(c.head(stream, ok + [("content-encoding", "gzip")]))
        c.body(stream, gzip.compress(bytes(n << 20)))
    else:
        c.whole(stream, b"hello\n", [("content-type", "text/plain")], method=method)


def upgraded(sock):
    """Answers HTTP/1.1, or changes to HTTP/2 where that is asked for."""
    c = Connection(sock)
    while len(c.got) < 3:
        c.read()
    if c.got.startswith(b"PRI"):
        return c.run()
    while b"\r\n\r\n" not in c.got:
        c.read()
    head, _, rest = c.got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    own = dict(l.lower().split(": ", 1) for l in lines[1:] if ": " in l)
    body = rest
    while len(body) < int(own.get("content-length", 0)):
        body += sock.recv(65536)
    if own.get("upgrade") == "h2c" and not path.startswith("/one"):
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        c.got = b""
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", own["host"])]
        c.first = 33554432
        return c.run(fields + [(k, v) for k, v in own.items() if k in ("user-agent", "accept")])
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n")
    while sock.recv(65536):
        pass


def talk(sock, context):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = context.wrap_socket(sock, server_side=True)
            Connection(sock).run()
        else:
            upgraded(sock)
    except (Over, OSError):
        pass
    finally:
        try:
            if context:
                sock.unwrap()
            else:
                sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass
        sock.close()


def main():
    port, context = int(sys.argv[1]), None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        context.set_alpn_protocols(["h2"])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=talk, args=(sock, context), daemon=True).start()


main()
