// Command pullsecrets pulls an image with the credentials of a Kubernetes pull secret,
// which go-containerregistry's keychain for Kubernetes reads, as many tools in clusters
// do. The first argument is the secret's .dockerconfigjson as a file, the second the image.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn/kubernetes"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
)

func main() {
	if err := pull(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pull(ctx context.Context, config, image string) error {
	content, err := os.ReadFile(config) //nolint:gosec // the test names the file
	if err != nil {
		return err
	}
	keychain, err := kubernetes.NewFromPullSecrets(ctx, []corev1.Secret{{
		Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: content},
	}})
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		return err
	}
	pulled, err := remote.Image(reference, remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain))
	if err != nil {
		return err
	}
	layers, err := pulled.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content)
		_ = content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
