// Package helm tests the chart in souk/.
package helm
