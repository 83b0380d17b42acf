package expression

import "sync"

// maxCached is the total number of characters of the expressions in a cache.
const maxCached = 1 << 20

// Cache keeps parsed expressions that are evaluated repeatedly. The zero Cache is empty and ready. It is safe for
// concurrent use.
type Cache struct {
	mutex  sync.Mutex
	length int
	parsed map[string]*Expression
}

// Parse returns the parsed text as [Parse] does. Errors are not cached.
func (c *Cache) Parse(text string) (*Expression, error) {
	c.mutex.Lock()
	found := c.parsed[text]
	c.mutex.Unlock()
	if found != nil {
		return found, nil
	}
	e, err := Parse(text)
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.parsed == nil || c.length+len(text) > maxCached {
		c.parsed, c.length = map[string]*Expression{}, 0
	}
	if c.parsed[text] == nil {
		c.parsed[text], c.length = e, c.length+len(text)
	}
	return e, nil
}
