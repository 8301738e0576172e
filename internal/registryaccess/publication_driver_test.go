package registryaccess_test

import (
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// retiredToken is an element of retired_tokens.
type retiredToken struct{ revokeAt time.Time }

func (d *driver) objects(name string) []map[string]tftypes.Value {
	d.Helper()
	list := d.attributes(d.state)[name]
	if list.IsNull() {
		return nil
	}
	var elements []tftypes.Value
	if err := list.As(&elements); err != nil {
		d.Fatal(err)
	}
	objects := make([]map[string]tftypes.Value, 0, len(elements))
	for _, element := range elements {
		var object map[string]tftypes.Value
		if err := element.As(&object); err != nil {
			d.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

func (d *driver) retired() []retiredToken {
	d.Helper()
	var tokens []retiredToken
	for _, object := range d.objects("retired_tokens") {
		var text string
		if err := object["revoke_at"].As(&text); err != nil {
			d.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			d.Fatal(err)
		}
		tokens = append(tokens, retiredToken{at})
	}
	return tokens
}

// behind is environments_behind as one line: "null", "none", or names with what they hold.
func (d *driver) behind() string {
	d.Helper()
	if d.attributes(d.state)["environments_behind"].IsNull() {
		return "null"
	}
	var parts []string
	for _, object := range d.objects("environments_behind") {
		var name, holds string
		if object["name"].As(&name) != nil || object["holds"].As(&holds) != nil {
			d.Fatal("environments_behind is not as expected")
		}
		parts = append(parts, name+" "+holds)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// jobsPull reports whether the CI/CD variables hold a pair that pulls.
func (d *driver) jobsPull() bool {
	for _, scope := range []string{"*", "production"} {
		user, hasUser := d.variable(userKey, scope)
		password, hasPassword := d.variable(passwordKey, scope)
		if hasUser && hasPassword && d.gitlab.CanPull(d.project, user.Value, password.Value) {
			return true
		}
	}
	return false
}
