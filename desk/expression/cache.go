package expression

import "sync"

// maxCached is how many characters of expressions a cache keeps parsed.
const maxCached = 1 << 20

// Cache keeps expressions that are evaluated again and again parsed. The zero Cache is empty and ready. It is safe for concurrent use.
type Cache struct {
	mutex  sync.Mutex
	length int
	parsed map[string]*Expression
}

// Parse returns the expression of the text as [Parse] does. Mistakes are not kept.
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
