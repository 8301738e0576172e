package foreign_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// puller is a client for registries.
type puller struct {
	name, part string
	// pull pulls an image with a docker config file; login says whether a pair works.
	// Both keep what they write in the folder.
	pull  func(part, folder, config, image string) *exec.Cmd
	login func(part, folder, host, username, password string) *exec.Cmd
	// root says that the client keeps images where only root can, or needs user
	// namespaces that most machines do not have.
	root bool
}

func pullers() []puller {
	// containers makes a command of skopeo, podman or buildah, which need a policy in the home folder.
	containers := func(program string, before, after []string) func(tree, folder string, rest ...string) *exec.Cmd {
		return func(tree, folder string, rest ...string) *exec.Cmd {
			arguments := append([]string{}, before...)
			if program != "skopeo" {
				arguments = append(arguments, "--root", folder+"/root", "--runroot", folder+"/run", "--storage-driver", "vfs")
			}
			if program == "podman" {
				arguments = append(arguments, "--conmon", tree+"/usr/bin/conmon", "--runtime", tree+"/usr/bin/crun")
			}
			c := launch(tree+"/usr/bin/"+program, append(append(arguments, after...), rest...)...)
			c.Env = append(os.Environ(), libraries(tree), "HOME="+folder, "XDG_RUNTIME_DIR="+folder, "REGISTRY_AUTH_FILE="+folder+"/auth.json")
			return c
		}
	}
	of := func(program string) puller {
		pulling, copying := containers(program, nil, []string{"pull", "--quiet", "--tls-verify=false", "--authfile"}), containers(program, []string{"--insecure-policy"}, []string{"copy", "--src-tls-verify=false", "--authfile"})
		logging := containers(program, nil, []string{"login", "--tls-verify=false"})
		return puller{
			name: program, part: "FOREIGN_DEBIAN", root: program != "skopeo",
			pull: func(tree, folder, config, image string) *exec.Cmd {
				if program == "skopeo" {
					return copying(tree, folder, config, "docker://"+image, "dir:"+folder+"/image")
				}
				return pulling(tree, folder, config, image)
			},
			login: func(tree, folder, host, username, password string) *exec.Cmd {
				return logging(tree, folder, "--authfile", folder+"/login.json", "--username", username, "--password", password, host)
			},
		}
	}
	return []puller{
		of("skopeo"), of("podman"), of("buildah"),
		{name: "crane", part: "FOREIGN_CRANE", pull: func(crane, folder, config, image string) *exec.Cmd {
			c := launch(crane, "pull", "--insecure", image, folder+"/image.tar")
			c.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Dir(config))
			return c
		}},
		{name: "oras", part: "FOREIGN_ORAS", pull: func(oras, folder, config, image string) *exec.Cmd {
			return launch(oras, "copy", "--from-plain-http", "--from-registry-config", config, image, "--to-oci-layout", folder+"/layout:latest")
		}, login: func(oras, folder, host, username, password string) *exec.Cmd {
			return launch(oras, "login", "--plain-http", "--registry-config", folder+"/login.json", "--username", username, "--password", password, host)
		}},
		{name: "Kubernetes keychain", part: "FOREIGN_PULLSECRETS", pull: func(pullsecrets, _, config, image string) *exec.Cmd {
			return launch(pullsecrets, config, image)
		}},
	}
}

// refusal is how clients say that they were turned down. Anything else is a fault.
var refusal = regexp.MustCompile(`(?i)unauthori[sz]ed|denied|forbidden|invalid username/password|\b40[13]\b`)

// pair are credentials under the name by which the rows call them.
type pair struct{ username, password string }

// storehouse is a GitLab with a registry and two images in it.
type storehouse struct {
	g             *gitlabtest.Server
	registry      *registry.Registry
	private, open string
	pairs         map[string]pair
}

func newStorehouse(t *testing.T) *storehouse {
	t.Helper()
	g := gitlabtest.New(t)
	ctx := context.Background()
	r, err := registry.StartOnOneHost(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	shop := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	other := g.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	open := g.CreateProject("zoo/open", gitlabtest.ProjectOptions{Visibility: "public"})
	h := &storehouse{g: g, registry: r, private: r.Image("acme/shop"), open: r.Image("zoo/open"), pairs: map[string]pair{}}
	never := time.Time{}
	for name, token := range map[string]gitlabtest.Token{
		"right":         g.CreateDeployToken(shop, "pull", "Robot", never, "read_registry"),
		"expired":       g.CreateDeployToken(shop, "pull", "robot", g.Clock.Now().Add(-time.Hour), "read_registry"),
		"other project": g.CreateDeployToken(other, "pull", "robot", never, "read_registry"),
		"write only":    g.CreateDeployToken(shop, "push", "robot", never, "write_registry"),
		"no registry":   g.CreateDeployToken(shop, "clone", "robot", never, "read_repository"),
		"group's":       g.CreateGroupDeployToken(g.CreateGroup("top", gitlabtest.GroupOptions{}), "pull", "robot", never, "read_registry"),
		"pushes shop":   g.CreateDeployToken(shop, "push", "robot", never, "read_registry", "write_registry"),
		"pushes open":   g.CreateDeployToken(open, "push", "robot", never, "read_registry", "write_registry"),
	} {
		h.pairs[name] = pair{token.Username, token.Secret}
	}
	h.pairs["wrong password"] = pair{"Robot", "gldt-wrong"}
	h.pairs["username in other case"] = pair{"robot", h.pairs["right"].password}
	for image, by := range map[string]string{h.private: "pushes shop", h.open: "pushes open"} {
		if err := r.PushRandom(ctx, image, h.pairs[by].username, h.pairs[by].password); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// pullRow is a docker config, as path below the registry's host to pair, and what comes
// of pulls with it.
type pullRow struct {
	name, source string
	keys         map[string]string
	// private and open say whether the private and the public image are pulled by
	// clients that take the longest key that fits the image.
	private, open bool
	// but is the same for clients with other rules for keys.
	but map[string]outcomes
}

type outcomes struct{ private, open bool }

const (
	jwtSource  = "app/controllers/jwt_controller.rb"
	authSource = "app/services/auth/container_registry_authentication_service.rb"
	// keysSource is about clients, not about GitLab.
	keysSource = "which key fits an image is the client's own affair"
)

var pullRows = []pullRow{
	{name: "no credentials", source: authSource, keys: map[string]string{}, private: false, open: true},
	{name: "right, by host", source: authSource, keys: map[string]string{"": "right"}, private: true, open: true},
	{name: "wrong password", source: jwtSource + ": 401 even for public images", keys: map[string]string{"": "wrong password"}},
	{name: "expired", source: jwtSource, keys: map[string]string{"": "expired"}},
	{name: "username in other case", source: "lib/gitlab/auth.rb: equal to the letter", keys: map[string]string{"": "username in other case"}},
	{name: "token of another project", source: authSource + ": granted nothing but what everybody has", keys: map[string]string{"": "other project"}, open: true},
	{name: "token of another group", source: authSource, keys: map[string]string{"": "group's"}, open: true},
	{name: "token without a registry scope", source: authSource + ": REGISTRY_LOGIN_ABILITIES", keys: map[string]string{"": "no registry"}},
	{name: "token that only writes", source: authSource, keys: map[string]string{"": "write only"}, open: false},
	{name: "right, by path", source: keysSource, keys: map[string]string{"/acme/shop": "right"}, private: true, open: true},
	{name: "right, by the group's path", source: keysSource, keys: map[string]string{"/acme": "right"}, private: true, open: true},
	// crane and oras take a key for its host, whatever its path is.
	{name: "a path of another project", source: keysSource, keys: map[string]string{"/zoo": "right"}, open: true,
		but: map[string]outcomes{"crane": {true, true}, "oras": {true, true}}},
	// crane looks for the repository first, oras for the host.
	{name: "a path beside the host", source: keysSource, keys: map[string]string{"": "wrong password", "/acme/shop": "right"}, private: true,
		but: map[string]outcomes{"oras": {false, false}}},
}

func (h *storehouse) config(t *testing.T, folder string, keys map[string]string) string {
	t.Helper()
	auths := map[string]any{}
	for path, name := range keys {
		p := h.pairs[name]
		auths[h.registry.Host+path] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(p.username + ":" + p.password))}
	}
	content, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "config.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// home is a folder with the policy that skopeo, podman and buildah want.
func home(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "home") //nolint:usetesting // podman takes only short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	policy := filepath.Join(folder, ".config/containers")
	if err := os.MkdirAll(policy, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(policy, "policy.json"), []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// outcome runs the command, and says whether it was let in.
func outcome(t *testing.T, c *exec.Cmd) (allowed bool, output string) {
	t.Helper()
	deadline := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
	defer deadline.Stop()
	out, err := c.CombinedOutput()
	if err != nil && !refusal.Match(out) {
		t.Errorf("the client failed: %v: %s", err, out)
	}
	return err == nil, strings.TrimSpace(string(out))
}

func TestPulls(t *testing.T) {
	t.Parallel()
	for _, p := range pullers() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			part := os.Getenv(p.part)
			if part == "" {
				t.Skipf("%s is not installed: %s is unset; make foreign installs it", p.name, p.part)
			}
			if p.root && os.Getuid() != 0 {
				t.Skipf("%s needs root", p.name)
			}
			h := newStorehouse(t)
			for _, r := range pullRows {
				t.Run(r.name, func(t *testing.T) {
					want, differs := r.but[p.name]
					if !differs {
						want = outcomes{r.private, r.open}
					}
					for image, allowed := range map[string]bool{h.private: want.private, h.open: want.open} {
						folder := home(t)
						if got, output := outcome(t, p.pull(part, folder, h.config(t, folder, r.keys), image)); got != allowed {
							t.Errorf("%s: pulled: %v, want %v\n(%s) %s", image, got, allowed, r.source, output)
						}
					}
				})
			}
			h.logins(t, p, part)
		})
	}
}

// logins: a login asks for no repository.
func (h *storehouse) logins(t *testing.T, p puller, part string) {
	t.Helper()
	if p.login == nil {
		return
	}
	for name, want := range map[string]bool{"right": true, "other project": true, "wrong password": false, "expired": false, "no registry": false} {
		t.Run(fmt.Sprintf("login: %s", name), func(t *testing.T) {
			folder := home(t)
			if got, output := outcome(t, p.login(part, folder, h.registry.Host, h.pairs[name].username, h.pairs[name].password)); got != want {
				t.Errorf("let in: %v, want %v\n(%s) %s", got, want, jwtSource, output)
			}
		})
	}
}
