package manifests_test

import (
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"
)

const balenaPath = "balena.yml"

// balenaFile is the part of the format that is used: any other field is an
// error.
type balenaFile struct {
	Name, Type, Description, Version string
	Assets                           map[string]struct {
		Type string
		Data struct{ URL string }
	}
	Data struct {
		DefaultDeviceType    string   `yaml:"defaultDeviceType"`
		SupportedDeviceTypes []string `yaml:"supportedDeviceTypes"`
	}
}

// deviceTypes are some of balena's, each with its processor as in BALENA_ARCH.
var deviceTypes = map[string]string{
	"raspberry-pi": "rpi", "raspberry-pi2": "armv7hf", "raspberrypi3": "armv7hf", "raspberrypi3-64": "aarch64",
	"raspberrypi4-64": "aarch64", "raspberrypi5": "aarch64", "beaglebone-black": "armv7hf",
	"intel-nuc": "amd64", "generic-amd64": "amd64", "generic-aarch64": "aarch64", "qemux86": "i386",
}

// processors are those for which the base image of Dockerfile.template exists.
var processors = []string{"aarch64", "armv7hf", "amd64"}

// checkBalena is what is wrong with a balena.yml.
func checkBalena(text string) faults {
	var f faults
	var file balenaFile
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		f.add("does not parse: %v", err)
		return f
	}
	match := func(field, value, form string) {
		if !regexp.MustCompile(form).MatchString(value) {
			f.add("%s is %q, which does not match %s", field, value, form)
		}
	}
	match("name", file.Name, `^[A-Za-z0-9_-]{4,100}$`)
	match("type", file.Type, `^sw\.(application|block)$`)
	match("description", file.Description, `^\S.{20,}\.$`)
	match("version", file.Version, `^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)
	for name, a := range file.Assets {
		match("the name of an asset", name, `^(repository|logo)$`)
		match("the type of an asset", a.Type, `^blob\.asset$`)
		match("the URL of an asset", a.Data.URL, `^https://\S+$`)
	}
	if module := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(read(modPath)); file.Assets["repository"].Data.URL != "https://"+module[1] {
		f.add("the repository is not that of the module")
	}
	types := file.Data.SupportedDeviceTypes
	if !slices.Contains(types, file.Data.DefaultDeviceType) {
		f.add("the default device type is not supported")
	}
	for i, t := range types {
		if slices.Contains(types[:i], t) {
			f.add("device type %s stands twice", t)
		}
		if deviceTypes[t] == "" {
			f.add("device type %s is unknown", t)
		} else if !slices.Contains(processors, deviceTypes[t]) {
			f.add("there is no base image for device type %s, %s", t, deviceTypes[t])
		}
	}
	for _, p := range processors {
		if !slices.ContainsFunc(types, func(t string) bool { return deviceTypes[t] == p }) {
			f.add("no device type is for %s", p)
		}
	}
	return f
}

var _ = Describe("balena.yml", func() {
	It("is what balena accepts, for devices for which there is an image", func() {
		Expect(checkBalena(read(balenaPath))).To(BeEmpty())
		for _, p := range processors {
			Expect(read(dockerfilePath)).To(MatchRegexp(`(?m)^ +%s\) +GOARCH=`, p))
			Expect(read(balenaPath)).To(ContainSubstring(p))
		}
	})

	DescribeTable("would be found out if it said something else",
		func(old, replacement, fault string) {
			text := broken(read(balenaPath), old, replacement)
			Expect(checkBalena(text)).To(ContainElement(ContainSubstring(fault)))
		},
		Entry("an unknown field", "\nname:", "\nslug: x\nname:", "slug not found"),
		Entry("a name with a blank", "name: handover-example", "name: handover example", "name is"),
		Entry("another type", "sw.application\n", "sw.app\n", "type is"),
		Entry("nothing about itself", "description: A service that hands over to the new container at every update.", `description: ""`, "description is"),
		Entry("a version of two numbers", "version: 0.1.0", "version: 0.1", "version is"),
		Entry("a version with a name", "version: 0.1.0", "version: 0.1.0-beta", "version is"),
		Entry("an unknown asset", "  repository:", "  source:", "the name of an asset"),
		Entry("another type of asset", "blob.asset", "blob", "the type of an asset"),
		Entry("another repository", "handover-controller/handover", "handover-controller/handovers", "not that of the module"),
		Entry("a default that is not supported", "defaultDeviceType: raspberrypi4-64", "defaultDeviceType: raspberry-pi2", "default device type"),
		Entry("a device type twice", "- intel-nuc", "- generic-amd64", "stands twice"),
		Entry("a misspelt device type", "- raspberrypi5", "- raspberry-pi5", "unknown"),
		Entry("a device without an image", "- raspberrypi5", "- raspberry-pi", "no base image"),
	)
})
