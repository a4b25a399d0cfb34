//! The place `served`: loopback, a folder to be served at `/mnt/www`, and a client for WebSocket from Debian's Python.

pub const SERVED: &str = r##"
set -e
ip link set lo up
mount -t tmpfs none /mnt
mkdir -p /mnt/www/sub /mnt/www/empty
cd /mnt/www
echo '<h1>hi</h1>' >index.html
seq 1 20 >a.txt
for e in json css js png jpeg gif svg pdf htm c mp3 md; do echo $e >f.$e; done
echo x >noext
echo sub >sub/index.html
cp a.txt g.txt
gzip -nk g.txt
touch -d '2024-01-02 03:04:05 UTC' * sub/*
echo 'custom 404' >err.html
printf 'H:/mnt/www\nI:a.txt\nE404:/mnt/www/err.html\n/sub:bob:secret # a guard\n.md:text/markdown\nA:127.0.0.1\nA:10.0.0.0/8\nD:*\n' >/mnt/conf
echo 'D:*' >/mnt/nobody
echo 'garbage line' >/mnt/wrong
echo "hosts: files" >/mnt/nsswitch
echo "127.0.0.1 localhost
::1 localhost" >/mnt/hosts
mount --bind /mnt/nsswitch /etc/nsswitch.conf
mount --bind /mnt/hosts /etc/hosts
cat >/mnt/talk.py <<'P'
import asyncio, ssl, sys, websockets
async def talk(uri):
    context = None
    if uri.startswith("wss"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with websockets.connect(uri, ssl=context, subprotocols=["chat", "other"]) as ws:
        print(ws.subprotocol)
        await ws.send("hello")
        print(await ws.recv())
        await ws.send(bytes(range(256)) * 300)
        print(len(await ws.recv()))
        await ws.send(["in ", "pieces"])
        print(await ws.recv())
        await (await ws.ping())
        print("pong")
    print(ws.close_code)
asyncio.run(talk(sys.argv[1]))
P
echo ready
exec cat
"##;
