"""A server of mail, files, data or chats that begins TLS when it is asked in its own words.

starttls.py PROTOCOL CERTIFICATE KEY: one connection on 5001; PROTOCOL-no does not know TLS, PROTOCOL-refused refuses it.
"""
import socket, ssl, sys

how, certificate, key = sys.argv[1:4]
protocol, _, mood = how.partition("-")
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 5001))
listener.listen()
sock, _ = listener.accept()


def line():
    got = b""
    while not got.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            sys.exit()
        got += byte
    return got.decode(errors="replace").strip()


def say(text):
    sock.sendall(text.replace("\n", "\r\n").encode())


def asked(starts, yes, no):
    """Answers lines until one begins so."""
    while True:
        said = line()
        print(said, flush=True)
        if said.upper().startswith(starts):
            say(no if mood == "refused" else yes)
            if mood == "refused":
                sys.exit()
            return
        if protocol in ("smtp", "lmtp"):
            offer = "" if mood == "no" else "250-STARTTLS\n"
            say(f"250-mail.example\n250-SIZE 1000\n{offer}250 HELP\n")
        elif protocol == "imap":
            offer = "" if mood == "no" else " STARTTLS"
            say(f"* CAPABILITY IMAP4rev1{offer}\n. OK done\n")
        elif protocol == "nntp":
            offer = "" if mood == "no" else "STARTTLS\n"
            say(f"101 capabilities\nVERSION 2\n{offer}.\n")
        else:
            say("500 what?\n")


if protocol == "smtp":
    say("220-mail.example\n220 ready\n")
    asked("STARTTLS", "220 go ahead\n", "454 not now\n")
elif protocol == "lmtp":
    say("220 mail.example LMTP\n")
    asked("STARTTLS", "220 go ahead\n", "454 not now\n")
elif protocol == "imap":
    say("* OK ready\n")
    asked(". STARTTLS", ". OK begin\n", ". NO not now\n")
elif protocol == "pop3":
    say("+OK ready\n")
    asked("STLS", "+OK begin\n", "-ERR not now\n")
elif protocol == "ftp":
    say("220-files.example\n220 ready\n")
    asked("AUTH TLS", "234 go ahead\n", "502 no\n")
elif protocol == "nntp":
    say("200 news.example\n")
    asked("STARTTLS", "382 go ahead\n", "580 no\n")
elif protocol == "sieve":
    offer = "" if mood == "no" else '"STARTTLS"\n'
    say(f'"IMPLEMENTATION" "sieve.py"\n"VERSION" "1.0"\n{offer}OK\n')
    asked("STARTTLS", "OK\n", "NO\n")
elif protocol == "postgres":
    print(sock.recv(8).hex(), flush=True)
    sock.sendall(b"N" if mood else b"S")
elif protocol == "mysql":
    can = b"\xff\xf7" if mood == "no" else b"\xff\xff"
    hello = b"\x0a8.0.36\0" + b"\1\0\0\0" + b"saltsalt\0" + can + b"\x21\2\0\xff\xdf\x15" + bytes(10) + b"moresaltmore\0mysql_native_password\0"
    sock.sendall(bytes([len(hello), 0, 0, 0]) + hello)
    got = sock.recv(36)
    print(len(got), got[:4].hex(), bool(got[4:] and got[5] & 8), flush=True)
elif protocol in ("xmpp", "xmppserver"):
    def until(end):
        got = b""
        while not got.endswith(end):
            got += sock.recv(1) or sys.exit()
        print(got.decode(), flush=True)

    space = "urn:ietf:params:xml:ns:xmpp-tls"
    kind = "jabber:server" if protocol == "xmppserver" else "jabber:client"
    until(b">")
    say(f"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='{kind}' id='1' from='localhost' version='1.0'>")
    say(f"<stream:features><starttls xmlns='{space}'><required/></starttls></stream:features>")
    until(b"/>")
    say(f"<proceed xmlns='{space}'/>")
elif protocol == "irc":
    print(line(), flush=True)
    say(":irc.example 670 nick :STARTTLS successful, go ahead with TLS handshake\n")
elif protocol == "ldap":
    print(sock.recv(31).hex(), flush=True)
    code = 52 if mood == "refused" else 0
    sock.sendall(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01" + bytes([code]) + b"\x04\x00\x04\x00")
    if code:
        sys.exit()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
try:
    sock = context.wrap_socket(sock, server_side=True)
    print(sock.version(), sock.recv(100), flush=True)
except (OSError, ssl.SSLError):
    pass
