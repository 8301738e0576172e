//go:build linux

package proof_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
)

const twoAccesses = `
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
}

resource "autodevops_registry_access" "payments" {
  project             = "acme/payments"
  rotate_when_changed = { round = %q }
}
`

// TestTwoProjectsOnePod: one pod runs images of two projects in one registry. One
// Secret, keyed by image prefix, serves both, also while one of them rotates.
func TestTwoProjectsOnePod(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	payments := l.newApp("acme/payments")
	// A path that begins like another's must not get its credentials.
	shopAdmin := l.newApp("acme/shop-admin")
	s := l.newStack()
	merged := "provider::autodevops::docker_config_json([autodevops_registry_access.shop, autodevops_registry_access.payments], %q)"
	configure := func(round, key string) {
		s.write(fmt.Sprintf(twoAccesses, round) + s.secretOf(secretName, fmt.Sprintf(merged, key)))
	}
	configure("1", "image_prefix")
	s.init()
	orders := []*guard{l.guard(shop), l.guard(payments)}
	s.apply()
	l.runs("two-projects", []string{secretName}, shop, payments)
	err := l.pullAsKubelet(shopAdmin, secretName)
	if refused, ok := errors.AsType[*registry.RefusedError](err); !ok || refused.Status != http.StatusUnauthorized {
		t.Errorf("acme/shop-admin, with the credentials of others: %v", err)
	}
	if one, other := l.published(shop), l.published(payments); one == other {
		t.Error("both projects have the same credentials")
	}

	loads := []*puller{l.pullAll(shop, secretName), l.pullAll(payments, secretName)}
	configure("2", "image_prefix")
	s.apply()
	aMoment()
	l.settle(s, 7)
	aMoment()
	for i := range loads {
		loads[i].expectNoFailure()
		orders[i].expectOrder()
	}

	// Keyed by host, only one of the two could have its way: the plan says so.
	configure("2", "host")
	if _, err = s.tryApply(); err == nil {
		t.Fatal("two projects share one host key")
	}
	l.says(err.Error(), "image_prefix")
	l.runs("after-the-refusal", []string{secretName}, shop, payments)
}
