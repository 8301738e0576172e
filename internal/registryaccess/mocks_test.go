package registryaccess_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// TestMocks_complete: the mocks for terraform test have a value for every attribute that
// a mock does not make up itself as an empty list.
func TestMocks_complete(t *testing.T) {
	t.Parallel()
	mocks, err := os.ReadFile("../../examples/testing/mocks/autodevops.tfmock.hcl")
	if err != nil {
		t.Fatal(err)
	}
	d := newDriverIn(t)
	for _, attribute := range d.resource.Block.Attributes {
		nestedList := attribute.NestedType != nil && attribute.NestedType.Nesting == tfprotov6.SchemaObjectNestingModeList
		if !attribute.Computed || nestedList {
			continue
		}
		if !regexp.MustCompile(`(?m)^    ` + attribute.Name + ` +=`).Match(mocks) {
			t.Errorf("the mocks lack %s", attribute.Name)
		}
	}
}
