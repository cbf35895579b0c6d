-- Two runs, as the version of idumb wrote them whose schema is 1.
PRAGMA application_id = 0x69646d62;
PRAGMA user_version = 1;
INSERT INTO plans VALUES (x'605b97605a042e78ae40cce2910c26044a527b821d37def508a9edc6ae5f4864', '{"goal":"plan 2"}');
INSERT INTO plans VALUES (x'984058f1c850053377e2ec48116837bbb30389ecd25ae31f43ac6dd0cd3623dd', '{"goal":"plan 1"}');
INSERT INTO runs VALUES (1, 'phase-1-r1', 1, 'some-phase', 'blake3:984058f1c850053377e2ec48116837bbb30389ecd25ae31f43ac6dd0cd3623dd', x'984058f1c850053377e2ec48116837bbb30389ecd25ae31f43ac6dd0cd3623dd', 5, 3, x'feb5b22ebe8c96192a9149bcdeccc4fc17f35ac68e1d865981e10771ebc93499', 'completed', 8, x'aefd85f74dfbb97499db2871c9d1bc3024d13436e8456ceb854eed6b49909059');
INSERT INTO runs VALUES (2, 'phase-2-r1', 2, 'some-phase', 'blake3:605b97605a042e78ae40cce2910c26044a527b821d37def508a9edc6ae5f4864', x'605b97605a042e78ae40cce2910c26044a527b821d37def508a9edc6ae5f4864', 5, 3, x'e945b7885490a787b1505fafcc47c752c1a7b118c1ffe24c25b557ae74b08d99', NULL, NULL, x'bf58e165a91f6c340060e59d1c406ab3094d50d44fa0df97ccd53fce1e3867ed');
INSERT INTO events VALUES ('phase-1-r1', 0, 0, 'noted', 'P1-T1', '{"n":0}', x'68a9080b80d8e7551cd2b2d094d57ef7b2f4543be0e5fcb0fcc84705e389e9c5');
INSERT INTO events VALUES ('phase-1-r1', 1, 1, 'noted', NULL, '{"n":1}', x'0c950520b4d4e16199bddccd377e029659d22e13a9a0ffdaf5254949e09c5f16');
INSERT INTO events VALUES ('phase-1-r1', 2, 2, 'noted', 'P1-T1', '{"n":2}', x'feb5b22ebe8c96192a9149bcdeccc4fc17f35ac68e1d865981e10771ebc93499');
INSERT INTO events VALUES ('phase-2-r1', 0, 0, 'noted', 'P1-T1', '{"n":0}', x'ce3145f59d6ede4341c1d134bdc55ee87a88a32776b67cffc9474c60b8c4a2af');
INSERT INTO events VALUES ('phase-2-r1', 1, 1, 'noted', NULL, '{"n":1}', x'71733a033865800863571bda6e297d66bd2fed5fa10100c374e04347211be52e');
INSERT INTO events VALUES ('phase-2-r1', 2, 2, 'noted', 'P1-T1', '{"n":2}', x'e945b7885490a787b1505fafcc47c752c1a7b118c1ffe24c25b557ae74b08d99');
