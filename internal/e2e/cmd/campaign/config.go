//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// configuration is what the user has written. Zero values are left out.
type configuration struct {
	byID                                  bool
	mode, name, username, onNotRequired   string
	scopes                                []string
	expirationDays, rotateBefore, overlap *int
	permanent                             bool
	round                                 int
	createBeforeDestroy                   bool
	ciVariables, overwrite                bool
}

// address is the access in the configuration.
const address = "autodevops_registry_access.shop"

// render writes the configuration. The terraform_data stands for the Secret of a
// cluster: it is updated when the CLI gets to it, and keeps its content until then.
// It holds a digest, because a CLI prints what a terraform_data holds.
func (c configuration) render(project string) string {
	var b strings.Builder
	argument := func(name, value string) { _, _ = fmt.Fprintf(&b, "  %s = %s\n", name, value) }
	text := func(name, value string) {
		if value != "" {
			argument(name, fmt.Sprintf("%q", value))
		}
	}
	b.WriteString("resource \"autodevops_registry_access\" \"shop\" {\n")
	text("project", project)
	text("mode", c.mode)
	text("name", c.name)
	text("username", c.username)
	text("on_not_required", c.onNotRequired)
	if len(c.scopes) > 0 {
		argument("scopes", `["`+strings.Join(c.scopes, `", "`)+`"]`)
	}
	if c.permanent {
		argument("permanent", "true")
	}
	if c.round > 0 {
		argument("rotate_when_changed", fmt.Sprintf(`{ round = "%d" }`, c.round))
	}
	if c.ciVariables {
		argument("ci_variables", fmt.Sprintf("{ overwrite = %v }", c.overwrite))
	}
	b.WriteString(c.renderRotation())
	if c.createBeforeDestroy {
		b.WriteString("  lifecycle {\n    create_before_destroy = true\n  }\n")
	}
	b.WriteString("}\n")
	return preamble + b.String()
}

const preamble = `terraform {
  required_providers {
    autodevops = { source = "registry.terraform.io/autodevops/autodevops" }
  }
}

resource "terraform_data" "secret" {
  input = sha256(autodevops_registry_access.shop.docker_config_json)
}

`

func (c configuration) renderRotation() string {
	var b strings.Builder
	days := func(name string, value *int) {
		if value != nil {
			_, _ = fmt.Fprintf(&b, "    %s = %d\n", name, *value)
		}
	}
	if !c.permanent {
		days("expiration_days", c.expirationDays)
		days("rotate_before_days", c.rotateBefore)
	}
	if !c.ciVariables || c.noOverlap() {
		days("overlap_days", c.overlap)
	}
	if b.Len() == 0 {
		return ""
	}
	return "  rotation = {\n" + b.String() + "  }\n"
}

// lifetime is the effective expiration_days.
func (c configuration) lifetime() int {
	if c.expirationDays != nil {
		return *c.expirationDays
	}
	return 365
}

// noOverlap: the configuration announces that a replaced token ends at once.
func (c configuration) noOverlap() bool { return c.overlap != nil && *c.overlap == 0 }

// change changes one thing, and says what.
func (c *configuration) change(r *rand.Rand) string {
	switch r.IntN(20) {
	case 0, 1:
		return c.changeRotation(r)
	case 2:
		c.overlap = pick(r, nil, new(0), new(1), new(2))
		return "overlap_days " + orDefault(c.overlap)
	case 3:
		c.permanent = !c.permanent
		return fmt.Sprint("permanent ", c.permanent)
	case 4, 5:
		c.name = pick(r, "", "shop-registry", "gitlab-deploy-token")
		return fmt.Sprintf("name %q", c.name)
	case 6, 7:
		c.username = pick(r, "", "deployer", "puller.2")
		return fmt.Sprintf("username %q", c.username)
	case 8:
		c.scopes = pick(r, nil, []string{"read_registry"}, []string{"read_registry", "read_repository"})
		return fmt.Sprint("scopes ", c.scopes)
	case 9, 10:
		c.round++
		return fmt.Sprint("rotate_when_changed ", c.round)
	case 11, 12:
		c.mode = pick(r, "", "auto", "auto", "always", "always", "never")
		return fmt.Sprintf("mode %q", c.mode)
	case 13:
		c.onNotRequired = pick(r, "", "revoke", "keep")
		return fmt.Sprintf("on_not_required %q", c.onNotRequired)
	case 15, 16, 17:
		c.ciVariables = !c.ciVariables
		return fmt.Sprint("ci_variables ", c.ciVariables)
	case 18:
		c.overwrite = !c.overwrite
		return fmt.Sprint("overwrite ", c.overwrite)
	case 14:
		c.byID = !c.byID
		return fmt.Sprint("project by id: ", c.byID)
	default:
		c.createBeforeDestroy = !c.createBeforeDestroy
		return fmt.Sprint("create_before_destroy ", c.createBeforeDestroy)
	}
}

// changeRotation keeps to the rules of the argument.
func (c *configuration) changeRotation(r *rand.Rand) string {
	c.expirationDays = pick(r, nil, new(30), new(90), new(400))
	c.rotateBefore = pick(r, nil, new(3), new(10), new(20))
	c.overlap = pick(r, nil, nil, new(0), new(1), new(3))
	return fmt.Sprintf("rotation: expiration %s, before %s, overlap %s days", orDefault(c.expirationDays), orDefault(c.rotateBefore), orDefault(c.overlap))
}

func orDefault(days *int) string {
	if days == nil {
		return "by default"
	}
	return fmt.Sprint(*days)
}

// pick chooses one of the values.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// chance is true once in so many times.
func chance(r *rand.Rand, in int) bool { return r.IntN(in) == 0 }
