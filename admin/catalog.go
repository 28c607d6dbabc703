package admin

// Catalog has all resources of one configuration, those of http and those of stream. The cycle fills it
// (plan.Part[admin.Catalog]) after the configuration was linked; the api family serves it.
type Catalog struct{ Resources []Resource }
