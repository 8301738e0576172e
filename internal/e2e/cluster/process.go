//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started here and that ends with this process.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program whose output goes to a log in the folder.
func start(folder, program string, env []string, args ...string) (*process, error) {
	cmd := exec.CommandContext(context.Background(), program, args...) //nolint:gosec // one of our parts
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return launch(folder, cmd)
}

func launch(folder string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: filepath.Base(cmd.Path), cmd: cmd, done: make(chan struct{})}
	p.log = filepath.Join(folder, p.name+".log")
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, and ends it when it does not.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// until waits for something to be so, while the process lives.
func (p *process) until(ctx context.Context, what string, so func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !so(ctx) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before %s:\n%s", p.name, what, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting until %s: %w\n%s", p.name, what, ctx.Err(), p.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// lastWords are the last lines of the log.
func (p *process) lastWords() string {
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > 4000 {
		_, _ = file.Seek(-4000, io.SeekEnd)
	}
	text, _ := io.ReadAll(file)
	return strings.TrimSpace(string(text))
}

// freePort finds a loopback port that nobody listens on.
func freePort() (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

func freePorts(n int) ([]string, error) {
	var failed error
	ports := make([]string, n)
	for i := range ports {
		var err error
		ports[i], err = freePort()
		failed = errors.Join(failed, err)
	}
	return ports, failed
}
