package seal_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// buildAge builds the age tools of the pinned version.
func buildAge(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder, "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen")
	build.Dir = filepath.Join("..", "tools")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build age: %v\n%s", err, out)
	}
	return folder
}

// tool runs an age tool with an input.
func tool(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, stderr.String())
	}
	return stdout.String()
}

// TestAgeTools: keys of age-keygen work here, and age opens what is sealed here and
// seals what is opened here.
func TestAgeTools(t *testing.T) {
	t.Parallel()
	tools := buildAge(t)
	age, keygen := filepath.Join(tools, "age"), filepath.Join(tools, "age-keygen")
	keyFile := filepath.Join(t.TempDir(), "key.txt")
	file := tool(t, "", keygen)
	if err := os.WriteFile(keyFile, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	public := regexp.MustCompile(`age1[a-z0-9]{58}`).FindString(file)
	own := identities(t, file)
	_, other := newKey(t)

	c := seal.Credentials{Username: "autodevops-7-abcdefgh", Token: "gldt-0123456789abcdefghij"}
	c.DockerConfigJSON = access.Secret(access.DockerConfig("registry.example.com", c.Username, c.Token))
	opened := tool(t, sealFor(t, c, other, public), age, "--decrypt", "--identity", keyFile)
	var got struct {
		Version          int    `json:"version"`
		Username         string `json:"username"`
		Token            string `json:"token"`
		DockerConfigJSON string `json:"docker_config_json"`
	}
	if err := json.Unmarshal([]byte(opened), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Username != c.Username || got.Token != c.Token.Reveal() || got.DockerConfigJSON != c.DockerConfigJSON.Reveal() {
		t.Error("age decrypts something else than was sealed")
	}

	again := tool(t, opened, age, "--armor", "--recipient", public)
	if back, err := own.Open(again); err != nil || back != c {
		t.Errorf("what age has sealed: %v", err)
	}
}
