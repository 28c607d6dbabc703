package forward

import (
	"starling/plan"
	"starling/web/cache"
)

// LimitStores bounds the temporary files of PREFIX_store.
func LimitStores(p *plan.Plan, bytes int64) { storesOf(p).limit = bytes }

// MoveStored has files renamed by another function.
func MoveStored(p *plan.Plan, move func(from, to string) error) { storesOf(p).move = move }

// StoringBytes is the size of the temporary files of PREFIX_store.
func StoringBytes(p *plan.Plan) int64 { return storesOf(p).bytes.Load() }

// CacheSettings are the defaults of PREFIX_cache_path with parameters, name=value.
func CacheSettings(parameters map[string]string) (cache.Settings, error) {
	s := cache.DefaultSettings()
	for _, one := range cacheParameters {
		if text, given := parameters[one.name]; given {
			if err := one.parse(&s, text); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}
