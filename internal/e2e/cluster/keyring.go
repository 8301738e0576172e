//go:build linux

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// Credentials are a pair that the kubelet would try.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// keyring asks the program that has the kubelet's own code.
type keyring struct {
	mu        sync.Mutex
	process   *process
	questions *json.Encoder
	answers   *json.Decoder
	close     func()
}

func startKeyring(folder, program string) (*keyring, error) {
	cmd := exec.CommandContext(context.Background(), program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := launch(folder, cmd)
	if err != nil {
		return nil, err
	}
	return &keyring{
		process: p, questions: json.NewEncoder(in), answers: json.NewDecoder(out),
		close: func() { _ = in.Close(); <-p.done },
	}, nil
}

// Choose lists the credentials that the kubelet would try for an image of the
// repository, given the Secrets that a pod names, in its order. None means that it
// pulls anonymously.
func (c *Cluster) Choose(repository string, secrets ...corev1.Secret) ([]Credentials, error) {
	k := c.keyring
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.questions.Encode(map[string]any{"repository": repository, "secrets": secrets}); err != nil {
		return nil, fmt.Errorf("ask the keyring: %w", err)
	}
	var answer struct {
		Credentials []Credentials `json:"credentials"`
		Error       string        `json:"error"`
	}
	if err := k.answers.Decode(&answer); err != nil {
		return nil, fmt.Errorf("hear the keyring: %w", err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Credentials, nil
}
