// Command keyring chooses the credentials for a pull as the kubelet does, with
// the kubelet's own code. It reads one JSON question a line from standard input,
// a repository and the Secrets that a pod names in its order, and answers each
// with one line: the credentials that the kubelet would try, in its order. No
// credentials mean that it pulls anonymously.
//
// It is a program of its own because Kubernetes' requirements would otherwise
// move everybody else's.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
)

type question struct {
	Repository string          `json:"repository"`
	Secrets    []corev1.Secret `json:"secrets"`
}

type answer struct {
	Credentials []credentials `json:"credentials"`
	Error       string        `json:"error,omitempty"`
}

type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keyring:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(choose(q)); err != nil {
			return err
		}
	}
}

func choose(q question) answer {
	keyring, err := secrets.MakeDockerKeyring(q.Secrets, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		return answer{Error: "a Secret is not a docker config"}
	}
	found, _ := keyring.Lookup(q.Repository)
	a := answer{Credentials: make([]credentials, 0, len(found))}
	for _, c := range found {
		a.Credentials = append(a.Credentials, credentials{Username: c.Username, Password: c.Password})
	}
	return a
}
