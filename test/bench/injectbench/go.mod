module coxswain.io/injectbench

go 1.22
