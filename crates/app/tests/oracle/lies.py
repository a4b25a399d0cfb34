"""Lies over HTTP/1.1 and TLS, as the path and the port say: 8090 plain, 8091 over TLS, 8100 and above instead of TLS.

lies.py CERTIFICATE KEY
"""
import base64, gzip, hashlib, socket, ssl, struct, sys, threading, time


def record(kind, payload, version=b"\x03\x03"):
    return bytes([kind]) + version + struct.pack(">H", len(payload)) + payload


def message(kind, payload):
    return bytes([kind]) + struct.pack(">I", len(payload))[1:] + payload


# A ServerHello of TLS 1.2 that a client of today takes: ECDHE-ECDSA-AES128-GCM-SHA256, extended master secret.
HELLO = message(2, b"\x03\x03" + b"r" * 32 + b"\0" + b"\xc0\x2b" + b"\0" + b"\0\x09" + b"\0\x17\0\0" + b"\xff\x01\0\x01\0")


def endless(sock, piece):
    while True:
        sock.sendall(piece)


def tls(sock, how):
    """What stands where a TLS server should."""
    sock.recv(4096)
    if how == "garbage":
        sock.sendall(b"220 mail.example ESMTP ready\r\n" * 20)
    elif how == "http":
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    elif how == "closed":
        pass
    elif how == "half":
        sock.sendall(record(22, HELLO)[:20])
    elif how == "cut":
        # A record that says more than comes.
        sock.sendall(b"\x16\x03\x03\x40\x00" + HELLO)
    elif how == "long":
        # A message that says 16 MiB, and they come.
        sock.sendall(record(22, b"\x02\xff\xff\xff" + b"x" * 16000))
        endless(sock, record(22, b"x" * 16000))
    elif how == "certificates":
        sock.sendall(record(22, HELLO))
        sock.sendall(record(22, b"\x0b\xff\xff\xff\xff\xff\xfc" + b"x" * 16000))
        endless(sock, record(22, b"x" * 16000))
    elif how == "empty":
        endless(sock, record(22, b"") * 100)
    elif how == "ciphers":
        endless(sock, record(20, b"\1") * 100)
    elif how == "alerts":
        endless(sock, record(21, b"\1\x5a") * 100)
    elif how == "requests":
        endless(sock, record(22, message(0, b"")) * 100)
    elif how == "fatal":
        sock.sendall(record(21, b"\2\x28"))
    elif how == "large":
        endless(sock, b"\x16\x03\x03\xff\xff" + b"x" * 65535)
    elif how == "early":
        sock.sendall(record(22, HELLO) + record(23, b"data before its time" * 10))
    if how not in ("closed",):
        sock.settimeout(0.3)
        sock.recv(4096)


TLS = ["garbage", "http", "closed", "half", "cut", "long", "certificates", "empty", "ciphers", "alerts", "requests", "fatal", "large", "early"]


def chunk(bytes_):
    return b"%x\r\n%s\r\n" % (len(bytes_), bytes_)


def http(sock):
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        if not piece:
            return
        got += piece
    words = got.split(b" ")[1].decode().strip("/").split("/")
    how, n = words[0], int(words[1]) if len(words) > 1 else 0
    ok = b"HTTP/1.1 200 OK\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    coded = ok + b"Content-Encoding: gzip\r\n"
    if how == "fields":
        sock.sendall(ok)
        endless(sock, b"X: y\r\n" * 1000)
    elif how == "field":
        sock.sendall(ok + b"X: " + b"y" * (n << 20) + b"\r\nContent-Length: 3\r\n\r\nok\n")
    elif how == "line":
        sock.sendall(ok + b"X: ")
        endless(sock, b"y" * 10000)
    elif how == "status":
        sock.sendall(b"HTTP/1.1 200 ")
        endless(sock, b"y" * 10000)
    elif how == "hundreds":
        endless(sock, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    elif how == "cookies":
        sock.sendall(ok)
        for i in range(n):
            sock.sendall(b"Set-Cookie: c%d=%s\r\n" % (i, b"v" * 100))
        sock.sendall(b"Content-Length: 3\r\n\r\nok\n")
    elif how == "digits":
        sock.sendall(chunked)
        endless(sock, b"0" * 10000)
    elif how == "overflow":
        sock.sendall(chunked + b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n")
    elif how == "huge":
        sock.sendall(chunked + b"7fffffffffffffff\r\nabc")
    elif how == "negative":
        sock.sendall(chunked + b"-5\r\nabc\r\n0\r\n\r\n")
    elif how == "extension":
        sock.sendall(chunked + b"3;x=")
        endless(sock, b"y" * 10000)
    elif how == "trailers":
        sock.sendall(chunked + chunk(b"abc") + b"0\r\n")
        endless(sock, b"X: y\r\n" * 1000)
    elif how == "short":
        sock.sendall(ok + b"Content-Length: 10\r\n\r\nabc")
    elif how == "long":
        sock.sendall(ok + b"Content-Length: 3\r\n\r\nok\nand more than was said\n")
    elif how == "lengths":
        sock.sendall(ok + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nok\n??")
    elif how == "minus":
        sock.sendall(ok + b"Content-Length: -1\r\n\r\nok\n")
    elif how == "numbers":
        sock.sendall(ok + b"Content-Length: 99999999999999999999\r\n\r\nok\n")
    elif how == "both":
        sock.sendall(ok + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ok\n") + b"0\r\n\r\n")
    elif how == "bomb":
        sock.sendall(coded + b"\r\n" + gzip.compress(bytes(n << 20)))
    elif how == "bombs":
        once = gzip.compress(bytes(100 << 20))
        sock.sendall(ok + b"Content-Encoding: gzip, gzip, gzip\r\n\r\n" + gzip.compress(gzip.compress(once)))
    elif how == "codings":
        sock.sendall(ok + b"Content-Encoding: " + b", ".join([b"gzip"] * 20) + b"\r\n\r\nabc")
    elif how == "cutgzip":
        sock.sendall(coded + b"\r\n" + gzip.compress(b"some content" * 100)[:30])
    elif how == "drip":
        sock.sendall(ok + b"Content-Length: 1000\r\n\r\n")
        while True:
            sock.sendall(b"d")
            time.sleep(0.05)
    elif how == "endless":
        sock.sendall(ok + b"\r\n")
        endless(sock, bytes(65536))
    elif how == "elsewhere":
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    elif how == "ws":
        key = [l.split(b": ")[1] for l in got.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key")][0]
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        if n == 3:
            proof = b"AAAA"
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n"
        sock.sendall(head + b"\x01\x03one\x89\x02hi\x80\x04 two\x82\x7e\x00\x80" + b"b" * 128)
        if n == 1:
            pong = sock.recv(100)
            asked = bytes(a ^ b for a, b in zip(pong[6:8], pong[2:6]))
            sock.sendall(b"\x81\x06\npong " + b"\x81\x02" + asked + b"\x88\x02\x03\xe8")
            sock.recv(100)
        elif n == 2:
            endless(sock, b"\x89\x00" * 1000)
        elif n == 4:
            sock.sendall(b"\x82\x7f\x7f" + b"\xff" * 7)
            endless(sock, bytes(65536))
        elif n == 5:
            sock.sendall(b"\xf1\x01x")
        elif n == 6:
            sock.recv(100)
    elif how == "nul":
        sock.sendall(ok + b"X: a\0b\r\n\r\n")
    else:
        sock.sendall(ok + b"Content-Length: 6\r\n\r\nhello\n")


def listen(port, talk):
    def serve():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    def answer(sock):
        try:
            talk(sock)
        except OSError:
            pass
        sock.close()

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return threading.Thread(target=serve)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])


def secured(sock):
    # It ends without a good-bye of TLS.
    http(context.wrap_socket(sock, server_side=True))


all_ = [listen(8100 + i, lambda sock, how=how: tls(sock, how)) for i, how in enumerate(TLS)]
all_ += [listen(8090, http), listen(8091, secured)]
for one in all_:
    one.start()
