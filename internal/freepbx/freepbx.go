// Package freepbx is the neighbourhood of a FreePBX that is there already: its
// call records go into the look-up of the responsible manager, its extensions
// become operators, what happens to calls that they do not answer is set, and
// its dialplan is given the contexts that ask this server.
//
// FreePBX keeps all of it in MariaDB: the records in asteriskcdrdb.cdr, the
// extensions in asterisk.users. Nothing here runs on the way of a call: when
// MariaDB is away, what was read before is known still.
package freepbx
