-- The tables of FreePBX that this server reads or changes, with the columns and
-- types of FreePBX 16 (modules cdr, core and framework), in a MariaDB for tests.
CREATE DATABASE IF NOT EXISTS asteriskcdrdb CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE DATABASE IF NOT EXISTS asterisk CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

CREATE TABLE asteriskcdrdb.cdr (
    calldate      DATETIME     NOT NULL DEFAULT '0000-00-00 00:00:00',
    clid          VARCHAR(80)  NOT NULL DEFAULT '',
    src           VARCHAR(80)  NOT NULL DEFAULT '',
    dst           VARCHAR(80)  NOT NULL DEFAULT '',
    dcontext      VARCHAR(80)  NOT NULL DEFAULT '',
    channel       VARCHAR(80)  NOT NULL DEFAULT '',
    dstchannel    VARCHAR(80)  NOT NULL DEFAULT '',
    lastapp       VARCHAR(80)  NOT NULL DEFAULT '',
    lastdata      VARCHAR(80)  NOT NULL DEFAULT '',
    duration      INT(11)      NOT NULL DEFAULT 0,
    billsec       INT(11)      NOT NULL DEFAULT 0,
    disposition   VARCHAR(45)  NOT NULL DEFAULT '',
    amaflags      INT(11)      NOT NULL DEFAULT 0,
    accountcode   VARCHAR(20)  NOT NULL DEFAULT '',
    uniqueid      VARCHAR(32)  NOT NULL DEFAULT '',
    userfield     VARCHAR(255) NOT NULL DEFAULT '',
    did           VARCHAR(50)  NOT NULL DEFAULT '',
    recordingfile VARCHAR(255) NOT NULL DEFAULT '',
    cnum          VARCHAR(80)  NOT NULL DEFAULT '',
    cnam          VARCHAR(80)  NOT NULL DEFAULT '',
    outbound_cnum VARCHAR(80)  NOT NULL DEFAULT '',
    outbound_cnam VARCHAR(80)  NOT NULL DEFAULT '',
    dst_cnam      VARCHAR(80)  NOT NULL DEFAULT '',
    linkedid      VARCHAR(32)  NOT NULL DEFAULT '',
    peeraccount   VARCHAR(80)  NOT NULL DEFAULT '',
    sequence      INT(11)      NOT NULL DEFAULT 0,
    KEY calldate (calldate),
    KEY dst (dst),
    KEY accountcode (accountcode),
    KEY uniqueid (uniqueid),
    KEY did (did),
    KEY recordingfile (recordingfile)
);

CREATE TABLE asterisk.users (
    extension        VARCHAR(20)  NOT NULL DEFAULT '',
    password         VARCHAR(20)  DEFAULT NULL,
    name             VARCHAR(50)  DEFAULT NULL,
    voicemail        VARCHAR(50)  DEFAULT NULL,
    ringtimer        INT(3)       DEFAULT NULL,
    noanswer         VARCHAR(100) DEFAULT NULL,
    recording        VARCHAR(50)  DEFAULT NULL,
    outboundcid      VARCHAR(50)  DEFAULT NULL,
    sipname          VARCHAR(50)  DEFAULT NULL,
    noanswer_cid     VARCHAR(20)  NOT NULL DEFAULT '',
    busy_cid         VARCHAR(20)  NOT NULL DEFAULT '',
    chanunavail_cid  VARCHAR(20)  NOT NULL DEFAULT '',
    noanswer_dest    VARCHAR(255) NOT NULL DEFAULT '',
    busy_dest        VARCHAR(255) NOT NULL DEFAULT '',
    chanunavail_dest VARCHAR(255) NOT NULL DEFAULT '',
    mohclass         VARCHAR(80)  DEFAULT 'default',
    KEY extension (extension)
);

CREATE TABLE asterisk.devices (
    id            VARCHAR(20)  NOT NULL DEFAULT '',
    tech          VARCHAR(10)  NOT NULL DEFAULT '',
    dial          VARCHAR(255) NOT NULL DEFAULT '',
    devicetype    VARCHAR(5)   NOT NULL DEFAULT '',
    user          VARCHAR(50)  DEFAULT NULL,
    description   VARCHAR(50)  DEFAULT NULL,
    emergency_cid VARCHAR(100) DEFAULT NULL,
    hint_override VARCHAR(100) DEFAULT NULL,
    KEY id (id),
    KEY tech (tech)
);

CREATE TABLE asterisk.admin (
    variable VARCHAR(20) NOT NULL DEFAULT '',
    value    VARCHAR(80) NOT NULL DEFAULT '',
    PRIMARY KEY (variable)
);
INSERT INTO asterisk.admin (variable, value) VALUES ('need_reload', 'false');
