package provider_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// TestServer_letsGoOfCalls: what a call's context holds can be collected when the
// call is over, although the framework keeps the context's cancel function.
func TestServer_letsGoOfCalls(t *testing.T) {
	type loggers struct{ _ [1 << 16]byte }
	type key struct{}
	server := provider.NewServer(provider.New("test")())
	const calls = 20
	var collected atomic.Int64
	for range calls {
		func() {
			held := &loggers{}
			runtime.AddCleanup(held, func(int) { collected.Add(1) }, 0)
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, held))
			defer cancel() // as the transport does at the end of each call
			resp, err := server.ValidateResourceConfig(ctx, &tfprotov6.ValidateResourceConfigRequest{TypeName: "autodevops_nothing"})
			if err != nil || len(resp.Diagnostics) == 0 {
				t.Fatalf("the call did not reach the framework: %v, %v", resp, err)
			}
		}()
	}
	for range 10 {
		runtime.GC()
		runtime.Gosched()
	}
	if n := collected.Load(); n < calls-2 {
		t.Errorf("%d of %d calls are still held", calls-n, calls)
	}
	runtime.KeepAlive(server)
}
