package registryaccess

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
)

// FuzzImportID: an id is understood whole or refused with the accepted forms.
func FuzzImportID(f *testing.F) {
	for _, seed := range []string{"acme/shop", "7", "acme/shop:42", "7:42", ":", "a:b:c", "acme/shop:", "/x", "7:0", "9223372036854775808:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" {
			return
		}
		var diags diag.Diagnostics
		r := &Resource{}
		target, ok := r.importTarget(t.Context(), resource.ImportStateRequest{ID: id}, &diags)
		if !ok {
			if !diags.HasError() || !strings.Contains(diags[0].Detail(), "PROJECT:TOKEN_ID") {
				t.Fatalf("%q was refused without saying how: %v", id, diags)
			}
			return
		}
		if !arguments.IsProject(target.project) || target.tokenID < 0 || !strings.HasPrefix(id, target.project) {
			t.Fatalf("%q was understood as %+v", id, target)
		}
		if strings.Contains(id, ":") && target.tokenID == 0 {
			t.Fatalf("%q: the token id was ignored", id)
		}
	})
}
