// Package registry runs a real container registry whose authorisation is the
// GitLab stand-in's, and pushes to and pulls from it as a cluster does.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	// The registry finds its authorisation and storage by name.
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"github.com/sirupsen/logrus"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// Registry is a running registry.
type Registry struct {
	// Host is host:port, as it stands in image names.
	Host   string
	server *httptest.Server
	keys   string
}

// Start runs a registry on a free loopback port, and tells the GitLab about it.
// The caller closes it.
func Start(ctx context.Context, gitlab *gitlabtest.Server) (*Registry, error) {
	realm, err := url.Parse(gitlab.URL + realmPath)
	if err != nil {
		return nil, err
	}
	// Clients refuse to send credentials to a realm at a bare loopback address.
	realm.Host = "localhost:" + realm.Port()
	return start(ctx, gitlab, func(string) *url.URL { return realm })
}

// StartOnOneHost runs a registry that serves the token endpoint under its own host as
// well. Some clients send credentials to no other host than the registry's.
func StartOnOneHost(ctx context.Context, gitlab *gitlabtest.Server) (*Registry, error) {
	return start(ctx, gitlab, func(host string) *url.URL { return &url.URL{Scheme: "http", Host: host, Path: realmPath} })
}

const realmPath = "/jwt/auth"

func start(ctx context.Context, gitlab *gitlabtest.Server, realmOf func(host string) *url.URL) (*Registry, error) {
	keys, err := os.MkdirTemp("", "registry-keys")
	if err != nil {
		return nil, err
	}
	keySet := filepath.Join(keys, "jwks.json")
	if err = os.WriteFile(keySet, gitlab.JWKS(), 0o600); err != nil {
		return nil, err
	}
	behind, err := url.Parse(gitlab.URL)
	if err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(nil)
	host := server.Listener.Addr().String()

	logrus.SetOutput(io.Discard) // the registry's logger is global
	config := &configuration.Configuration{
		Storage: configuration.Storage{"inmemory": nil},
		Auth: configuration.Auth{"token": configuration.Parameters{
			"realm": realmOf(host).String(), "service": gitlabtest.JWTService, "issuer": gitlabtest.JWTIssuer, "jwks": keySet,
		}},
	}
	config.Log.Level, config.HTTP.Secret = "error", rand.Text()
	config.Log.AccessLog.Disabled = true

	paths := http.NewServeMux()
	paths.Handle("/", handlers.NewApp(ctx, config))
	paths.Handle(realmPath, httputil.NewSingleHostReverseProxy(behind))
	server.Config.Handler = paths
	server.Start()
	gitlab.SetRegistryHost(host)
	return &Registry{Host: host, server: server, keys: keys}, nil
}

// Close stops the registry.
func (r *Registry) Close() {
	r.server.Close()
	_ = os.RemoveAll(r.keys)
}

// Image names the image of a project in this registry.
func (r *Registry) Image(projectPath string) string { return r.Host + "/" + projectPath + ":latest" }

// PushRandom pushes a small image that nobody has seen before.
func (r *Registry) PushRandom(ctx context.Context, image, username, password string) error {
	content, err := random.Image(1024, 1)
	if err != nil {
		return err
	}
	return push(ctx, image, content, username, password)
}

func push(ctx context.Context, to string, image v1.Image, username, password string) error {
	reference, err := name.ParseReference(to, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(reference, image, remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: username, Password: password}))
}

// RefusedError is a pull that the registry or its authorisation turned down.
type RefusedError struct{ Status int }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
}

// Pull pulls the whole image with these credentials; without any if the username is empty.
func (r *Registry) Pull(ctx context.Context, image, username, password string) error {
	reference, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		return err
	}
	auth := authn.Anonymous
	if username != "" {
		auth = &authn.Basic{Username: username, Password: password}
	}
	content, err := remote.Image(reference, remote.WithContext(ctx), remote.WithAuth(auth))
	if err == nil {
		err = readLayers(content)
	}
	if refused, ok := errors.AsType[*transport.Error](err); ok {
		return &RefusedError{Status: refused.StatusCode}
	}
	return err
}

func readLayers(image v1.Image) error {
	layers, err := image.Layers()
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
