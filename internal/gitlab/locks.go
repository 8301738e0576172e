package gitlab

import (
	"context"
	"sync"
)

// locks are mutexes by project id whose waiters can give up.
type locks struct {
	mu  sync.Mutex
	all map[int64]chan struct{}
}

// lock waits for the project's lock. The error is the context's.
func (l *locks) lock(ctx context.Context, projectID int64) (unlock func(), err error) {
	l.mu.Lock()
	if l.all == nil {
		l.all = map[int64]chan struct{}{}
	}
	slot, ok := l.all[projectID]
	if !ok {
		slot = make(chan struct{}, 1)
		l.all[projectID] = slot
	}
	l.mu.Unlock()
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
