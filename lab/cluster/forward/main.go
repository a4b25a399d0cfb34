// Command forward lets ordinary programs of the machine reach the API server, which listens in a network namespace of
// its own. A socket stays in the namespace it was made in, whoever holds it later. So one process listens on loopback
// and then becomes the first process of the control node; the other, a child of that node, accepts on the inherited
// socket and dials from inside. It ends with the node, whatever ends the node, and the port with it.
//
//	forward listen FILE COMMAND...   listens on a free loopback port, writes HOST:PORT to FILE, becomes COMMAND
//	forward serve ADDRESS            carries every connection made to descriptor 3 to ADDRESS
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 3 && os.Args[1] == "listen":
		err = listen(os.Args[2], os.Args[3:])
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	default:
		err = fmt.Errorf("usage: forward listen FILE COMMAND... | forward serve ADDRESS")
	}
	fmt.Fprintln(os.Stderr, "forward:", err)
	os.Exit(1)
}

// listen returns only when something failed.
func listen(file string, command []string) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	socket, err := listener.(*net.TCPListener).File() // a copy without the mark that closes it on exec
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(socket.Fd()), 3, 0); err != nil && socket.Fd() != 3 {
		return err
	}
	if err := os.WriteFile(file, []byte(listener.Addr().String()+"\n"), 0o644); err != nil {
		return err
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, command, os.Environ())
}

func serve(address string) error {
	listener, err := net.FileListener(os.NewFile(3, "the inherited socket"))
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go carry(client.(*net.TCPConn), address)
	}
}

// carry copies both ways. Each direction is closed when its sender is done and no sooner: exec and port-forward go on
// answering after the last byte was asked.
func carry(client *net.TCPConn, address string) {
	defer client.Close()
	upstream, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		client.SetLinger(0) // a reset, as if nobody listened: the nearest to what a caller would see of a dead server
		return
	}
	server := upstream.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(server, client)
		server.CloseWrite()
		close(done)
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-done
}
