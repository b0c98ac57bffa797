package peer

import "os"

// RefuseWatch lets a folder be watched only while allow returns nil.
func (c *FolderConfig) RefuseWatch(allow func() error) {
	c.system.watch = func(path string) (*os.File, error) {
		if err := allow(); err != nil {
			return nil, err
		}
		return openInotify(path)
	}
}

// RefuseWrite lets files be written only while allow returns nil.
func (c *FolderConfig) RefuseWrite(allow func() error) {
	c.system.write = func(file *os.File, data []byte) (int, error) {
		if err := allow(); err != nil {
			return 0, err
		}
		return file.Write(data)
	}
}
